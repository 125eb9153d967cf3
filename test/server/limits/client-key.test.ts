import { expect, test } from 'vitest';
import { addressKeyOf } from '../../../src/server/limits/client-key.ts';

test.each([
  ['192.0.2.7', '192.0.2.7'],
  ['::ffff:192.0.2.7', '192.0.2.7'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:db8:1:2::', '2001:db8:1:2::/64'],
  ['2001:db8::1', '2001:db8:0:0::/64'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64'],
  ['64:ff9b::192.0.2.33', '64:ff9b:0:0::/64'],
  ['::2', '0:0:0:0::/64'],
  ['192.0.2.7:50001', '192.0.2.7'],
  ['[2001:db8:1:2:3:4:5:6]:443', '2001:db8:1:2::/64'],
  ['[2001:db8:1:2:3:4:5:6]', '2001:db8:1:2::/64'],
  ['::ffff:c000:207', '192.0.2.7'],
  ['unknown', 'unknown'],
  ['_hidden', 'unknown'],
  ['192.0.2.7:x', 'unknown'],
])('%s is a client as %s', (address, client) => {
  expect(addressKeyOf(address)).toBe(client);
});

test.each(['127.0.0.1', '127.1.2.3', '::1', '::ffff:127.0.0.1', '::ffff:7f00:1', undefined])(
  '%s is of this machine, whose programs are not told apart',
  (address) => {
    expect(addressKeyOf(address)).toBeUndefined();
  },
);
