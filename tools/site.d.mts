/** Links in the HTML files of `folder` that lead to nothing in it: `page: link`. */
export function brokenLinks(folder: string): string[];
