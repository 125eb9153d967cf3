/** Smallest height of the thumb, in pixels: one that a finger finds. */
const MIN_THUMB_PX = 32;

/** Where the thumb is, in pixels from the top of its track, and how high. */
export interface Thumb {
  top: number;
  height: number;
}

/** What part of the file is in view: the bytes from `top` to before `bottom`, of `size`. */
export interface Extent {
  top: number;
  bottom: number;
  size: number;
}

/** Places the thumb in a track of so many pixels. Undefined when all of the file is in view. */
export function thumbOf({ top, bottom, size }: Extent, trackPx: number): Thumb | undefined {
  const seen = bottom - top;
  if (seen >= size || trackPx <= MIN_THUMB_PX) return undefined;
  const height = Math.max(MIN_THUMB_PX, (trackPx * seen) / size);
  return { top: (trackPx - height) * Math.min(1, top / (size - seen)), height };
}

/** The position in the file that belongs at the top of the view when the thumb was pulled to `thumbTop`. */
export function positionOfThumb(thumbTop: number, { top, bottom, size }: Extent, trackPx: number): number {
  const seen = bottom - top;
  const height = Math.max(MIN_THUMB_PX, (trackPx * seen) / size);
  const fraction = Math.min(1, Math.max(0, thumbTop / (trackPx - height)));
  return Math.round(fraction * Math.max(0, size - seen));
}
