import {
  type EventLoopUtilization,
  type IntervalHistogram,
  monitorEventLoopDelay,
  performance,
} from 'node:perf_hooks';

/** How often the delay is looked at, in milliseconds: ten times as often takes more than an idle server does. */
const RESOLUTION_MS = 50;

/** How long it is looked at after somebody has asked. */
const WATCHED_FOR_MS = 300_000;

const NS_PER_SECOND = 1e9;

/** Of how many of the looks, in per cent. */
const PERCENTILES = [50, 99, 100] as const;

/** How the event loop does, since somebody has asked the last time. */
export interface LoopState {
  /** The part of the time in which it is not idle. */
  utilization: number;
  /** How late it is, in seconds, by percentile; empty when nobody has asked for a while. */
  delays: readonly (readonly [percentile: number, seconds: number])[];
}

/** Watches the event loop, and its delay only while somebody asks for it again and again. */
export class EventLoop {
  #since: EventLoopUtilization = performance.eventLoopUtilization();
  #delay: IntervalHistogram | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** Whether the delay is looked at. */
  get isWatched(): boolean {
    return this.#delay !== undefined;
  }

  /** How it does; from now on it is watched. */
  take(): LoopState {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, this.#since);
    this.#since = now;
    return { utilization, delays: this.#takeDelays() };
  }

  /** Watches no more. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#delay?.disable();
    this.#delay = undefined;
  }

  #takeDelays(): LoopState['delays'] {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.stop(), WATCHED_FOR_MS).unref();
    if (this.#delay === undefined) {
      this.#delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
      this.#delay.enable();
      return [];
    }
    const delay = this.#delay;
    if (delay.count === 0) return [];
    const delays = PERCENTILES.map((percentile) => {
      // It counts from one look to the next.
      const ns = delay.percentile(percentile) - RESOLUTION_MS * 1e6;
      return [percentile, Math.max(0, ns) / NS_PER_SECOND] as const;
    });
    delay.reset();
    return delays;
  }
}
