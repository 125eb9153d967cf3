import { InvalidUrlError } from './errors.ts';

export type Scalar = string | number | boolean;

const PARAMETER = /\{(\w+)\}/g;

/** What all requests of a client are below. */
export class Base {
  readonly #url: URL;
  /** The header for user and password of the URL. */
  readonly authorization: string | undefined;

  /** @throws {InvalidUrlError} unless it is an http or https URL */
  constructor(url: string | URL) {
    if (!URL.canParse(String(url))) throw new InvalidUrlError('the base URL is no URL');
    this.#url = new URL(url);
    if (!/^https?:$/.test(this.#url.protocol)) {
      throw new InvalidUrlError('the base URL must begin with http:// or https://');
    }
    const { username, password } = this.#url;
    this.authorization = username === '' && password === '' ? undefined : basic(username, password);
    this.#url.username = '';
    this.#url.password = '';
    this.#url.hash = '';
  }

  /** @throws {TypeError} for a path with a parameter that nobody has filled, or that leads out of the base */
  urlOf(path: string, parameters: ReadonlyMap<string, Scalar>, query: readonly [string, Scalar][]): URL {
    const filled = path.replace(PARAMETER, (_, name: string) => {
      const value = parameters.get(name);
      if (value === undefined) throw new TypeError(`nobody has filled {${name}} of the path ${path}`);
      return encodeURIComponent(String(value));
    });
    const [pathname = '', search = ''] = split(filled);
    const url = new URL(this.#url);
    const root = url.pathname.replace(/\/$/, '');
    if (pathname !== '') {
      url.pathname = `${root}/${pathname.replace(/^\//, '')}`;
      if (!`${url.pathname}/`.startsWith(`${root}/`))
        throw new TypeError(`the path ${path} leads out of the base`);
    }
    const more = new URLSearchParams(
      query.map(([name, value]): [string, string] => [name, String(value)]),
    ).toString();
    url.search = [url.search.slice(1), search, more].filter((part) => part !== '').join('&');
    return url;
  }
}

/** @throws {TypeError} when the path has no such parameter, or the value is no name */
export function assertParameter(path: string, name: string, value: Scalar): void {
  if (![...path.matchAll(PARAMETER)].some(([, known]) => known === name)) {
    throw new TypeError(`the path ${path} has no {${name}}`);
  }
  // URLs have no way to write them: they are steps of a path, also when they are escaped.
  if (['', '.', '..'].includes(String(value)))
    throw new TypeError(`{${name}} cannot be ${JSON.stringify(value)}`);
}

function split(path: string): string[] {
  const [withoutFragment = ''] = path.split('#');
  const mark = withoutFragment.indexOf('?');
  return mark === -1 ? [withoutFragment] : [withoutFragment.slice(0, mark), withoutFragment.slice(mark + 1)];
}

function basic(username: string, password: string): string {
  const bytes = new TextEncoder().encode(`${decode(username)}:${decode(password)}`);
  return `Basic ${btoa(String.fromCharCode(...bytes))}`;
}

/** A malformed escape is taken literally. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
