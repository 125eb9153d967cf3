/** User and password at the beginning of a location, which may leave out the protocol. */
const CREDENTIALS = /^([a-z][a-z\d+.-]*:[/\\]*|[/\\]{2,})[^/\\]*@/i;

/**
 * What messages say of where a redirect leads: no credentials, and no query, which may repeat a secret of the request.
 */
export function shownLocation(location: string): string {
  const [path = ''] = location.split(/[?#]/, 1);
  return path.replace(CREDENTIALS, '$1');
}
