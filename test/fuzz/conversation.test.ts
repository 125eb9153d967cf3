import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { type Conversation, makeConversation, describe as told } from './conversation.ts';

/** All that makes one differ from another. */
function summary({ steps, farewell }: Conversation): string {
  const hash = createHash('sha256');
  for (const step of steps) hash.update(step.do === 'send' ? step.bytes : JSON.stringify(step));
  return `${farewell} ${hash.digest('hex')}`;
}

test('a conversation is the same for the same seed and number, and another one for others', () => {
  for (let number = 0; number < 300; number++) {
    expect(summary(makeConversation(7, number))).toBe(summary(makeConversation(7, number)));
  }
  expect(summary(makeConversation(7, 100))).not.toBe(summary(makeConversation(7, 101)));
  expect(summary(makeConversation(7, 100))).not.toBe(summary(makeConversation(8, 100)));
});

test('what is told of a conversation has no byte that a terminal would act upon', () => {
  for (let number = 0; number < 300; number++) {
    expect(told(makeConversation(3, number))).toMatch(/^[\n\x20-\x7e…]*$/);
  }
});
