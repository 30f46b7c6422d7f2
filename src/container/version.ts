/** The version of this package, which files name as that of their writer. */
export const VERSION = "0.1.0";
