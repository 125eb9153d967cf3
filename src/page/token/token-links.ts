import { formatBytes } from '../frame/format.ts';
import { MAX_COPY_BYTES } from './copy-limit.ts';
import { fetchWithToken, tabToken } from './tab-token.ts';

/**
 * A browser sends no token with what it saves or opens. Lets a link to a file's bytes work for those who need a token: the page fetches them, and the browser saves or opens that, as
 * plain text, so that nothing in it runs.
 *
 * @param size asked how many bytes there are
 * @param tell says why it cannot be done
 */
export function withTabToken(
  link: HTMLAnchorElement,
  size: () => number,
  tell: (text: string) => void,
): void {
  const { href } = link;
  link.addEventListener('click', (event) => {
    // The link itself is clicked again with what was fetched.
    if (tabToken() === undefined || link.href !== href) return;
    event.preventDefault();
    if (size() > MAX_COPY_BYTES) {
      tell(`It is larger than ${formatBytes(MAX_COPY_BYTES)}: a program like curl gets it with the token.`);
      return;
    }
    fetchPlain(href).then(
      (url) => {
        link.href = url;
        link.click();
        link.href = href;
        setTimeout(() => URL.revokeObjectURL(url), 60_000);
      },
      (error) => tell(`It could not be fetched: ${(error as Error).message}`),
    );
  });
}

/** The URL of what was fetched. */
async function fetchPlain(href: string): Promise<string> {
  const answer = await fetchWithToken(href);
  if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
  const bytes = await answer.arrayBuffer();
  return URL.createObjectURL(new Blob([bytes], { type: 'text/plain; charset=utf-8' }));
}
