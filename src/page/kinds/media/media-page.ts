import { VERB_QUERY } from '../../../wire/protocol.ts';
import { FileFrame } from '../../file/file-frame.ts';
import { formatBytes } from '../../frame/format.ts';
import { mayGrow } from '../../state/stream-state.ts';
import { MAX_COPY_BYTES } from '../../token/copy-limit.ts';
import { fetchWithToken, tabToken } from '../../token/tab-token.ts';
import { type MediaKind, type MediaSource, mediaSource } from './media-source.ts';

/** What is there and what comes, in one answer. */
const LIVE_URL = `?${VERB_QUERY}=FOLLOW`;

/** What is there, in any order. */
const RANGES_URL = '?raw';

/** The page of a picture, a sound or a film: the browser shows it, while it is being written as far as its format allows. */
export class MediaPage {
  readonly #frame: FileFrame;
  readonly #element: HTMLImageElement | HTMLMediaElement;
  readonly #hint = document.createElement('p');
  #source: MediaSource | undefined;
  #copyUrl: string | undefined;

  /** @param path of the file, decoded */
  constructor(kind: MediaKind, path: string) {
    this.#frame = new FileFrame(path, { grown: () => {}, changed: () => this.#onChanged() });
    this.#element = elementOf(kind, this.#frame.name);
    this.#element.addEventListener('error', () => this.#onError());
    this.#element.addEventListener('load', () => this.#say(''));
    this.#element.addEventListener('loadedmetadata', () => this.#say(''));
    this.#hint.className = 'hint';
    this.#hint.role = 'status';
    this.#say('');
    const stage = document.createElement('div');
    stage.className = `stage ${kind}`;
    stage.append(this.#element, this.#hint);
    this.#frame.addLinks();
    this.#frame.add(stage);
  }

  start(): void {
    this.#frame.live.start();
  }

  #onChanged(): void {
    const { state, store } = this.#frame.live;
    if (state.kind === 'connecting' || state.kind === 'locked' || state.kind === 'missing') return;
    const isLive = state.kind === 'live' || state.kind === 'waiting';
    // While the server is away nothing is known that was not before.
    if (state.kind === 'reconnecting' && this.#source !== undefined) return;
    const source = mediaSource({ hasToken: tabToken() !== undefined, isLive, size: store.size });
    if (source === this.#source) return;
    if (this.#source === 'live' && !mayGrow(state) && this.#goesOn()) {
      this.#source = source;
      // What plays goes on to its end; then it can be seen in any order.
      this.#element.addEventListener(
        'pause',
        () => {
          if (this.#source === source) void this.#show(source);
        },
        { once: true },
      );
      return;
    }
    void this.#show(source);
  }

  /** Whether what came live is seen as it is: all of a picture, or what plays. */
  #goesOn(): boolean {
    const element = this.#element;
    return element instanceof HTMLMediaElement
      ? !element.paused
      : element.complete && element.naturalWidth > 0;
  }

  async #show(source: MediaSource): Promise<void> {
    this.#source = source;
    switch (source) {
      case 'live':
        this.#load(LIVE_URL);
        break;
      case 'ranges':
        this.#load(RANGES_URL);
        break;
      case 'copy': {
        const url = await this.#copy();
        // Meanwhile it may have to be had in another way.
        if (this.#source === source) this.#load(url);
        break;
      }
      case 'wait':
        this.#say(
          'It is being written, and shown when it is whole: a browser sends no token for a part of it.',
        );
        break;
      case 'none':
        this.#say(
          `It is larger than ${formatBytes(MAX_COPY_BYTES)}, and a browser sends no token for a part of it: it cannot be shown here.`,
        );
    }
  }

  /** Shows what is at a URL, a film from where it was. */
  #load(url: string | undefined): void {
    if (url === undefined) return;
    const element = this.#element;
    const place = element instanceof HTMLMediaElement ? element.currentTime : 0;
    element.src = url;
    // Where it is to begin once it is loaded, if nobody goes elsewhere until then.
    if (element instanceof HTMLMediaElement && place > 0) element.currentTime = place;
  }

  async #copy(): Promise<string | undefined> {
    this.#say('Loading…');
    try {
      const answer = await fetchWithToken(RANGES_URL);
      if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
      const url = URL.createObjectURL(await answer.blob());
      if (this.#copyUrl !== undefined) URL.revokeObjectURL(this.#copyUrl);
      this.#copyUrl = url;
      return url;
    } catch (error) {
      this.#say(`It could not be loaded: ${(error as Error).message}`);
      return undefined;
    }
  }

  #onError(): void {
    const isLive = this.#source === 'live';
    this.#say(
      isLive
        ? 'The browser cannot show this while it is being written; it is tried again when it is whole.'
        : 'The browser cannot show this. It may be damaged, or of a format that it does not know.',
    );
  }

  #say(text: string): void {
    this.#hint.textContent = text;
    this.#hint.hidden = text === '';
  }
}

function elementOf(kind: MediaKind, name: string): HTMLImageElement | HTMLMediaElement {
  if (kind === 'image') {
    const image = document.createElement('img');
    image.alt = name;
    return image;
  }
  const media = document.createElement(kind);
  media.controls = true;
  media.preload = 'metadata';
  media.ariaLabel = name;
  return media;
}
