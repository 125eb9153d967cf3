import { Writable } from 'node:stream';
import { text as textOf } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { expect, test } from 'vitest';
import { readable } from '../../../src/http/index.node.ts';
import { rejection } from '../../client/client-server.ts';
import { answerOf } from '../../support/http/answers.ts';
import { waitFor } from '../../support/wait-for.ts';

test('the body of an answer is a Node stream, also when there is none', async () => {
  expect(await textOf(readable(answerOf(['hä', 'llo']).response))).toBe('hällo');
  expect(await textOf(readable(new Response(null)))).toBe('');
});

test('a body that breaks is an error of the stream', async () => {
  const broken = readable(answerOf(['a'], { error: new Error('cut') }).response);
  expect(await rejection(textOf(broken))).toMatchObject({ message: 'cut' });
});

test('who destroys the stream, or whoever it goes to, cancels the body', async () => {
  const left = answerOf(['a', 'b']);
  readable(left.response).destroy();
  const failing = answerOf(['a', 'b']);
  const target = new Writable({ write: (_chunk, _encoding, done) => done(new Error('full')) });
  expect(await rejection(pipeline(readable(failing.response), target))).toMatchObject({ message: 'full' });
  await waitFor(() => left.state.isCancelled && failing.state.isCancelled, 'both to be cancelled');
});
