/** Rows of the stream, which is no whole number of batches. */
export const COUNT = 156;
export const BATCH = 8;
export const EPOCHS = 2;
/** Steps from one checkpoint to the next. */
export const SAVED_EVERY = 3;
