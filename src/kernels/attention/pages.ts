import { type Dispatch, LINEAR_MAIN_WGSL, linearGrid } from "../../gpu/dispatch.ts";
import { UNIFORM_BYTES } from "../kernel_steps.ts";
import { requireElements } from "../sizes.ts";
import { vectorsOf } from "./attention_sizes.ts";

/** A page begins with what it holds, so that one kernel, compiled once, serves all of them. */
export const PAGE_WGSL: string = `struct Page {
  first_head: u32,
  head_count: u32,
  first_row: u32, // of each head
  row_count: u32, // places for rows of each head
  rows: array<vec4<f32>, ${UNIFORM_BYTES / 16 - 1}>,
}`;

/** Rows `[heads, rows, …]` cut into pages: several whole heads a page, or several pages a head. */
export interface Pages {
  readonly heads: number;
  readonly rows: number;
  readonly headsPerPage: number;
  readonly pagesPerHead: number;
  /** Rows of a head in a page that is full. */
  readonly pageRows: number;
  readonly count: number;
}

/** One page of them. */
export interface Page {
  readonly index: number;
  readonly firstHead: number;
  readonly headCount: number;
  readonly firstRow: number;
  readonly rowCount: number;
}

/** Pages that hold rows of `width` elements at most. */
export function planPages(heads: number, rows: number, width: number): Pages {
  const most = Math.floor((UNIFORM_BYTES / 16 - 1) / vectorsOf(width));
  const pagesPerHead = Math.ceil(rows / most);
  const headsPerPage = pagesPerHead > 1 ? 1 : Math.floor(most / rows);
  const count = pagesPerHead > 1 ? heads * pagesPerHead : Math.ceil(heads / headsPerPage);
  return { heads, rows, headsPerPage, pagesPerHead, pageRows: Math.min(rows, most), count };
}

/** All pages, in the order of heads and rows. */
export function listPages({ heads, rows, headsPerPage, pagesPerHead, pageRows, count }: Pages): Page[] {
  return Array.from({ length: count }, (_, index) => {
    const firstHead = pagesPerHead > 1 ? Math.floor(index / pagesPerHead) : index * headsPerPage;
    const firstRow = index % pagesPerHead * pageRows;
    return {
      index,
      firstHead,
      headCount: Math.min(headsPerPage, heads - firstHead),
      firstRow,
      rowCount: Math.min(pageRows, rows - firstRow),
    };
  });
}

/**
 * Copies rows of `width` elements, `[heads, rows, width]`, into pages. A row takes whole vectors, with zeros behind.
 * In a page that is not full, the rows of each head follow the head's before at once.
 */
export function packPages<B>(
  bindings: { readonly input: B; readonly out: B },
  pages: Pages,
  width: number,
): Dispatch<B> {
  const count = requireElements("attention", [pages.count, UNIFORM_BYTES / 16]);
  return {
    label: `pack ${pages.heads} heads of ${pages.rows}x${width} into ${pages.count} pages`,
    code: WGSL,
    constants: {
      count,
      heads: pages.heads,
      rows: pages.rows,
      width,
      vectors: vectorsOf(width),
      heads_per_page: pages.headsPerPage,
      pages_per_head: pages.pagesPerHead,
      page_rows: pages.pageRows,
    },
    bindings: [bindings.input, bindings.out],
    workgroups: linearGrid(count),
  };
}

const WGSL = `override count: u32;
override heads: u32;
override rows: u32;
override width: u32;
override vectors: u32;
override heads_per_page: u32;
override pages_per_head: u32;
override page_rows: u32;

@group(0) @binding(0) var<storage, read> input: array<u32>;
@group(0) @binding(1) var<storage, read_write> out: array<vec4<u32>>;

fn load(first: u32, element: u32) -> u32 {
  if (element >= width) {
    return 0u;
  }
  return input[first + element];
}

${LINEAR_MAIN_WGSL}
  let page = index / ${UNIFORM_BYTES / 16}u;
  let first_row = page % pages_per_head * page_rows;
  let first_head = page / pages_per_head * heads_per_page;
  let place = index % ${UNIFORM_BYTES / 16}u;
  if (place == 0u) {
    out[index] = vec4<u32>(first_head, min(heads_per_page, heads - first_head), first_row, page_rows);
    return;
  }
  let row_in_page = (place - 1u) / vectors;
  let element = (place - 1u) % vectors * 4u;
  let head = first_head + row_in_page / page_rows;
  let row = first_row + row_in_page % page_rows;
  var four = vec4<u32>();
  if (row_in_page < heads_per_page * page_rows && head < heads && row < rows) {
    let first = (head * rows + row) * width;
    four = vec4<u32>(load(first, element), load(first, element + 1u), load(first, element + 2u), load(first, element + 3u));
  }
  out[index] = four;
}
`;
