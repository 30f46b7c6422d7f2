import { expect, test } from "bun:test";
import { fileHref, routeOf } from "../../../src/page/app/route.ts";

test("a file's place says its path, whatever letters are in it", () => {
  for (const path of ["a/1.cairn", "<img src=x>.cairn", "100 % & #1.cairn", "ü/é.cairn"]) {
    expect(routeOf(fileHref(path))).toEqual({ view: "file", path });
  }
});

test("what is no place is the start", () => {
  for (const hash of ["", "#", "#nothing", "#file=%ff", "#curves2"]) {
    expect(routeOf(hash)).toEqual({ view: "start" });
  }
  expect(routeOf("#lineage")).toEqual({ view: "lineage" });
});
