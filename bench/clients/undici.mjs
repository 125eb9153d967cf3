import { Writable } from 'node:stream';

/** undici's own functions. */
export async function open(entry) {
  const { request, stream } = await import(entry);
  return {
    async relay(from, to) {
      const { body, headers } = await request(from);
      const options = { method: 'PUT', body, headers: { 'content-length': headers['content-length'] } };
      return Number(await (await request(to, options)).body.text());
    },
    async download(url) {
      let bytes = 0;
      const nowhere = new Writable({
        write(chunk, _encoding, done) {
          bytes += chunk.length;
          done();
        },
      });
      await stream(url, { method: 'GET' }, () => nowhere);
      return bytes;
    },
    small(url) {
      return async () => (await request(url)).body.text();
    },
  };
}
