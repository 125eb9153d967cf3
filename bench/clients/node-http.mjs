import http from 'node:http';
import { Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';

/** Streams of `node:http`, with nothing around them. */
export async function open() {
  const get = (url) => new Promise((resolve, reject) => http.get(url, resolve).once('error', reject));
  return {
    async relay(from, to) {
      const source = await get(from);
      const request = http.request(to, {
        method: 'PUT',
        headers: { 'content-length': source.headers['content-length'] },
      });
      const answered = new Promise((resolve, reject) => {
        request.once('response', resolve).once('error', reject);
      });
      const [answer] = await Promise.all([answered, pipeline(source, request)]);
      return Number(await text(answer));
    },
    async download(url) {
      let bytes = 0;
      const nowhere = new Writable({
        write(chunk, _encoding, done) {
          bytes += chunk.length;
          done();
        },
      });
      await pipeline(await get(url), nowhere);
      return bytes;
    },
  };
}
