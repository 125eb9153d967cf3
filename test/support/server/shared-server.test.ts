import { expect, test } from 'vitest';
import { SharedServer } from './shared-server.ts';

/** Writes down what is done to it. */
class FakeServer {
  readonly root = '/root';
  readonly port = 1;
  readonly done: string[] = [];
  /** Whether it cannot be started. */
  isBroken = false;

  url(urlPath: string): string {
    return `http://server${urlPath}`;
  }

  async stop(): Promise<void> {
    this.done.push('stop');
  }

  async start(): Promise<void> {
    if (this.isBroken) throw new Error('it does not start');
    this.done.push('start');
  }

  async restart(): Promise<void> {
    throw new Error('nobody calls it');
  }
}

async function start(guestCount: number) {
  const server = new FakeServer();
  const shared = new SharedServer(server);
  const guests = await Promise.all(Array.from({ length: guestCount }, () => shared.join()));
  return { server, shared, guests };
}

test('a server is restarted once for all who share it, and what they want done is done between', async () => {
  const { server, guests } = await start(3);
  const note = (text: string) => async () => void server.done.push(text);
  await Promise.all(guests.map((guest, index) => guest.restart(note(`guest ${index}`))));
  expect(server.done).toEqual(['stop', 'guest 0', 'guest 1', 'guest 2', 'start']);
});

test('who asks again at once is not forgotten, and who comes while it is down joins when it runs', async () => {
  const { server, shared, guests } = await start(2);
  const again = guests.map(async (guest) => {
    for (let times = 0; times < 3; times++) await guest.restart();
    guest.leave();
  });
  const late = await shared.join();
  expect(server.done.at(-1)).toBe('start');
  await late.restart();
  late.leave();
  await Promise.all(again);
  expect(server.done.length).toBeGreaterThanOrEqual(3 * 2);
});

test('nobody waits for one who has left', async () => {
  const { server, guests } = await start(3);
  const leaver = guests.pop();
  const asked = guests.map((guest) => guest.restart());
  leaver?.leave();
  await Promise.all(asked);
  expect(server.done).toEqual(['stop', 'start']);
  await expect(leaver?.restart()).rejects.toThrow('left');
});

test('what goes wrong for one is told to that one, and a server that does not start to all', async () => {
  const { server, guests } = await start(2);
  const fail = () => Promise.reject(new Error('mine'));
  expect(await Promise.allSettled([guests[0]?.restart(fail), guests[1]?.restart()])).toMatchObject([
    { status: 'rejected', reason: { message: 'mine' } },
    { status: 'fulfilled' },
  ]);
  server.isBroken = true;
  expect(await Promise.allSettled(guests.map((guest) => guest.restart()))).toMatchObject([
    { status: 'rejected', reason: { message: 'it does not start' } },
    { status: 'rejected', reason: { message: 'it does not start' } },
  ]);
});
