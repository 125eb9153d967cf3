/** As much is loaded into a page at most, to show, save or open what is read with a token: in bytes. */
export const MAX_COPY_BYTES = 256 * 1024 * 1024;
