import { type Extent, positionOfThumb, type Thumb, thumbOf } from './thumb.ts';

/**
 * The bar beside the log. It is drawn by hand, since no element can be as high as a large file has rows: its thumb stands
 * for bytes. It hears only of the pointer that holds it, never of a change of its own.
 */
export class Scrollbar {
  readonly element = document.createElement('div');
  readonly #thumb = document.createElement('div');
  readonly #scrollTo: (position: number) => void;
  #extent: Extent = { top: 0, bottom: 0, size: 0 };
  /** Where in the thumb the pointer holds it, in pixels from its top. */
  #grip: number | undefined;

  /** `scrollTo` is told which position belongs at the top of the view; one at the end is `size`. */
  constructor(scrollTo: (position: number) => void) {
    this.#scrollTo = scrollTo;
    this.element.className = 'scrollbar';
    // The log itself scrolls by keys, and says where it is.
    this.element.ariaHidden = 'true';
    this.#thumb.className = 'thumb';
    this.element.append(this.#thumb);
    this.element.addEventListener('pointerdown', (event) => this.#onDown(event));
    this.element.addEventListener('pointermove', (event) => this.#onMove(event));
    for (const type of ['pointerup', 'pointercancel'] as const) {
      this.element.addEventListener(type, () => this.#onUp());
    }
  }

  /** Shows what is in view. While the thumb is held it stays where the pointer is. */
  show(extent: Extent): void {
    this.#extent = extent;
    if (this.#grip === undefined) this.#place(thumbOf(extent, this.element.clientHeight));
  }

  #place(thumb: Thumb | undefined): void {
    this.#thumb.hidden = thumb === undefined;
    if (thumb === undefined) return;
    this.#thumb.style.height = `${thumb.height}px`;
    this.#thumb.style.transform = `translateY(${thumb.top}px)`;
  }

  #onDown(event: PointerEvent): void {
    const thumb = thumbOf(this.#extent, this.element.clientHeight);
    if (event.button !== 0 || thumb === undefined) return;
    event.preventDefault();
    this.element.setPointerCapture(event.pointerId);
    const y = event.clientY - this.element.getBoundingClientRect().top;
    const holds = y >= thumb.top && y < thumb.top + thumb.height;
    // Beside the thumb: it comes to the pointer.
    this.#grip = holds ? y - thumb.top : thumb.height / 2;
    this.#onMove(event);
  }

  #onMove(event: PointerEvent): void {
    if (this.#grip === undefined) return;
    const trackPx = this.element.clientHeight;
    const thumb = thumbOf(this.#extent, trackPx);
    if (thumb === undefined) return;
    const y = event.clientY - this.element.getBoundingClientRect().top - this.#grip;
    const top = Math.min(Math.max(0, y), trackPx - thumb.height);
    this.#place({ ...thumb, top });
    const isEnd = top >= trackPx - thumb.height;
    this.#scrollTo(isEnd ? this.#extent.size : positionOfThumb(top, this.#extent, trackPx));
  }

  #onUp(): void {
    if (this.#grip === undefined) return;
    this.#grip = undefined;
    this.show(this.#extent);
  }
}
