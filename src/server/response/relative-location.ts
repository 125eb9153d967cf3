/**
 * Names a path by a reference that is relative to the path of a request (RFC
 * 3986, section 4.2): a proxy may have stripped a prefix from that, which the
 * client that resolves the reference still has. It begins with `./` or
 * `../`, so that nothing in it can be taken for a scheme or another host.
 *
 * @param requestPath as the client sent it, escapes, empty segments and dots included
 * @param urlPath clean and percent-encoded
 */
export function relativeLocation(requestPath: string, urlPath: string): string {
  const base = directoriesOf(requestPath);
  const segments = urlPath.split('/').slice(1);
  // The last one is a name, or empty: not a directory that both could be in.
  const fork = segments.slice(0, -1).findIndex((segment, i) => segment !== base[i]);
  const common = fork === -1 ? segments.length - 1 : fork;
  const rest = segments.slice(common).join('/');
  return `${'../'.repeat(base.length - common) || './'}${rest}`;
}

/** The directories in which a resolver sees the path: without its last segment and the dots, as they stand there. */
function directoriesOf(path: string): string[] {
  const directories: string[] = [];
  for (const segment of path.split('/').slice(1, -1)) {
    if (segment === '..') directories.pop();
    else if (segment !== '.') directories.push(segment);
  }
  return directories;
}
