// Keeps what a model says while it says it. It is asked once, and goes on when readers leave; who comes later, or comes
// back after a reload, has all of the answer, and what is still said. To delete an answer stops the model.
//
//   node examples/model-answer/model-server.mjs &
//   node examples/model-answer/app.mjs http://localhost:9090 data 8080
//   curl -d question='What is new?' http://localhost:8080/ask/42
//   curl -N 'http://localhost:8080/answers/42?verb=FOLLOW&wait=10'          # and again, after a Ctrl-C
//   curl -X DELETE http://localhost:8080/answers/42

import Fastify from 'fastify';
import { httpfstream } from 'httpfstream';
import { append } from 'httpfstream/client';
import { client, ok } from 'httpfstream/http';

const [modelUrl = 'http://localhost:9090', root = 'data', port = '8080'] = process.argv.slice(2);
const model = client(modelUrl);

const app = Fastify();
await app.register(httpfstream, { root, prefix: '/answers' });
app.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (_request, body, done) =>
  done(null, Object.fromEntries(new URLSearchParams(body))),
);
const schema = { body: { type: 'object', required: ['question'] } };
app.post('/ask/:id', { schema }, (request, reply) => {
  const location = `/answers/${encodeURIComponent(request.params.id)}`;
  keep(location, request.body.question).catch((error) => console.error(`${location}: ${error.message}`));
  return reply.code(202).header('location', location).send();
});
const address = await app.listen({ port: Number(port) });
console.log(address);

/** Asks the model, and passes on what it says, unless somebody has asked before. */
async function keep(location, question) {
  // An answer that has begun cannot begin: of all who ask, one comes through. When the model breaks off so does the
  // answer, for all who read it; when the answer is deleted the model is told.
  const ask = async ({ signal }) => ok(await model.post('').json({ question }).signal(signal).send());
  await append(new URL(location, address), ask, { expect: 0 });
}
