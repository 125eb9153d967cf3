/** What a wheel's step by lines is, in pixels. */
const LINE_PX = 40;

/** How fast a swipe runs out: what is left of its speed after a millisecond. */
const FRICTION_PER_MS = 0.997;

/** A swipe has run out below this speed, in pixels a millisecond. */
const MIN_SPEED = 0.02;

/** What is scrolled: by pixels, down when positive. */
export interface Scrollable {
  scrollBy(deltaPx: number): void;
}

/** Scrolls by wheel and by touch. Sideways is left to the browser. */
export class ScrollInput {
  readonly #element: HTMLElement;
  readonly #target: Scrollable;
  #touch: { y: number; at: number; speed: number } | undefined;
  #glide = 0;

  constructor(element: HTMLElement, target: Scrollable) {
    this.#element = element;
    this.#target = target;
    element.addEventListener('wheel', (event) => this.#onWheel(event), { passive: false });
    element.addEventListener('touchstart', (event) => this.#onTouchStart(event), { passive: true });
    element.addEventListener('touchmove', (event) => this.#onTouchMove(event), { passive: true });
    element.addEventListener('touchend', () => this.#onTouchEnd());
    element.addEventListener('touchcancel', () => this.#onTouchEnd());
  }

  #onWheel(event: WheelEvent): void {
    // Zoom, and what goes sideways.
    if (event.ctrlKey || event.shiftKey || event.deltaY === 0) return;
    event.preventDefault();
    this.#stop();
    const unit = [1, LINE_PX, this.#element.clientHeight][event.deltaMode] ?? 1;
    this.#target.scrollBy(event.deltaY * unit);
    if (event.deltaX !== 0) this.#element.scrollLeft += event.deltaX * unit;
  }

  #onTouchStart(event: TouchEvent): void {
    this.#stop();
    const [touch] = event.touches;
    this.#touch =
      event.touches.length === 1 && touch ? { y: touch.clientY, at: event.timeStamp, speed: 0 } : undefined;
  }

  #onTouchMove(event: TouchEvent): void {
    const [touch] = event.touches;
    if (this.#touch === undefined || touch === undefined) return;
    const delta = this.#touch.y - touch.clientY;
    const elapsed = Math.max(1, event.timeStamp - this.#touch.at);
    const speed = 0.7 * (delta / elapsed) + 0.3 * this.#touch.speed;
    this.#touch = { y: touch.clientY, at: event.timeStamp, speed };
    this.#target.scrollBy(delta);
  }

  #onTouchEnd(): void {
    const speed = this.#touch?.speed ?? 0;
    this.#touch = undefined;
    if (!matchMedia('(prefers-reduced-motion: reduce)').matches) this.#glideOn(speed, performance.now());
  }

  #glideOn(speed: number, before: number): void {
    if (Math.abs(speed) < MIN_SPEED) return;
    this.#glide = requestAnimationFrame((now) => {
      const elapsed = Math.max(0, now - before);
      this.#target.scrollBy(speed * elapsed);
      this.#glideOn(speed * FRICTION_PER_MS ** elapsed, now);
    });
  }

  #stop(): void {
    cancelAnimationFrame(this.#glide);
  }
}
