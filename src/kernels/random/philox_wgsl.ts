/** WGSL of Philox 4x32-10: `philox(counter, key)` gives four words that depend on both in every bit. */
export const PHILOX_WGSL: string = `// The high 32 bits of a product, which WGSL has no operator for.
fn multiply_high(a: u32, b: u32) -> u32 {
  let low = (a & 0xffffu) * (b & 0xffffu);
  let middle = (a >> 16u) * (b & 0xffffu) + (low >> 16u);
  let other = (a & 0xffffu) * (b >> 16u) + (middle & 0xffffu);
  return (a >> 16u) * (b >> 16u) + (middle >> 16u) + (other >> 16u);
}

// Ten rounds; the constants are those of the paper.
fn philox(counter: vec4<u32>, key: vec2<u32>) -> vec4<u32> {
  var words = counter;
  var round_key = key;
  for (var round = 0u; round < 10u; round++) {
    words = vec4<u32>(
      multiply_high(0xcd9e8d57u, words.z) ^ words.y ^ round_key.x,
      0xcd9e8d57u * words.z,
      multiply_high(0xd2511f53u, words.x) ^ words.w ^ round_key.y,
      0xd2511f53u * words.x,
    );
    round_key += vec2<u32>(0x9e3779b9u, 0xbb67ae85u);
  }
  return words;
}
`;
