import { expect, test } from "bun:test";
import { withoutAddressSecrets } from "../../../src/base/text/without_secrets.ts";

test("addresses lose their credentials and their query, and nothing else", () => {
  const cases: Record<string, string> = {
    "https://host/a.cairn": "https://host/a.cairn",
    "https://user:pass@host/a.cairn": "https://…@host/a.cairn",
    "https://token@host/": "https://…@host/",
    "https://host/a?X-Amz-Signature=0f&X-Amz-Credential=AKID": "https://host/a?…",
    "s3://AKID:se/cr+et@bucket/runs": "s3://…@bucket/runs",
    "s3://bucket/who@example.com/runs": "s3://bucket/who@example.com/runs",
    'no "https://a:b@c/d?e=f", and "s3://bucket/g" #2?': 'no "https://…@c/d?…", and "s3://bucket/g" #2?',
    "Cannot read http://h/a?b=c:d.e: it failed (http://h/a?b), then":
      "Cannot read http://h/a?…: it failed (http://h/a?…), then",
    "runs/a?b:c@d": "runs/a?b:c@d",
  };
  for (const [text, expected] of Object.entries(cases)) expect(withoutAddressSecrets(text)).toBe(expected);
});
