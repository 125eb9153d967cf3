import { expect, it, onTestFinished } from 'vitest';
import { Admission, type Withdrawal } from '../../../src/server/rights/admission.ts';
import { Admissions } from '../../../src/server/rights/admissions.ts';
import { ResourcePath } from '../../../src/wire/resource-path.ts';
import { RuleAccess, type Rules } from '../../support/server/rule-access.ts';
import { waitFor } from '../../support/wait-for.ts';

const F = ResourcePath.parse('/f');
const FOLLOW: Rules = { '/f': ['follow'] };
const NOTHING: Rules = {};

/** As many requests as there are in several slices, each of which follows `/f`; `ended` has what became of them. */
function admit(access: RuleAccess, token: string, count = 2500) {
  const admissions = new Admissions(access, () => expect.unreachable());
  onTestFinished(() => admissions.close());
  const ended: Withdrawal[] = [];
  const all = Array.from({ length: count }, () => {
    const admission = new Admission(access.subjectOf(token), (withdrawal) => ended.push(withdrawal));
    admissions.add(admission);
    admission.require('follow', F);
    return admission;
  });
  return { admissions, all, ended };
}

it('all end whose right was taken away, each once, and none that has it still', async () => {
  const access = new RuleAccess({ t: { rules: FOLLOW }, u: { rules: FOLLOW } });
  const { admissions, ended } = admit(access, 't');
  const other = new Admission(access.subjectOf('u'), () => expect.unreachable());
  admissions.add(other);
  other.require('follow', F);
  access.change({ t: { rules: { ...FOLLOW, '/other': ['follow'] } }, u: { rules: FOLLOW } });
  access.change({ t: { rules: NOTHING }, u: { rules: FOLLOW } });
  await waitFor(() => ended.length === 2500, 'all ends');
  access.change({ u: { rules: FOLLOW } });
  expect(ended).toHaveLength(2500);
  expect(ended[0]).toMatchObject({ isExpired: false, error: { code: 'HFS_FORBIDDEN_RIGHT' } });
  expect(other.may('follow', F)).toBe(true);
});

it('one that cannot be judged, or not be ended, ends alone, and all others are judged', async () => {
  const access = new RuleAccess({ t: { rules: FOLLOW } });
  const failed: unknown[] = [];
  const admissions = new Admissions(access, (error) => failed.push(error));
  onTestFinished(() => admissions.close());
  const ended: number[] = [];
  for (let i = 0; i < 5; i++) {
    const subject = access.subjectOf('t');
    const admission = new Admission(subject, () => {
      ended.push(i);
      if (i === 2) throw new Error('not ended');
    });
    if (i === 1) {
      admission.renew = () => {
        throw new Error('not judged');
      };
    }
    admissions.add(admission);
    admission.require('follow', F);
  }
  access.change({ t: { rules: FOLLOW } });
  expect(ended).toEqual([1]);
  access.change({ t: { rules: NOTHING } });
  expect(ended).toEqual([1, 0, 2, 3, 4]);
  access.change({});
  expect(failed.map(String)).toEqual(['Error: not judged', 'Error: not ended']);
});

it('what is closed listens to no changes any more', () => {
  const access = new RuleAccess({ t: { rules: FOLLOW } });
  const { admissions, ended } = admit(access, 't', 1);
  admissions.close();
  access.change({});
  expect(ended).toEqual([]);
});

it('what changes while they are judged counts for those that were judged before, too', async () => {
  const access = new RuleAccess({ t: { rules: FOLLOW } });
  const { ended } = admit(access, 't');
  access.change({ t: { rules: { ...FOLLOW } } });
  // By now a slice has been judged, and others wait.
  access.change({});
  await waitFor(() => ended.length === 2500, 'all ends');
  expect(ended[0]).toMatchObject({ isExpired: false, error: { code: 'HFS_UNAUTHORIZED' } });
});

it('one timer ends those whose credential expires, the sooner ones sooner', async () => {
  const now = Date.now();
  const access = new RuleAccess({
    late: { rules: FOLLOW, expiresMs: now + 3_000_000_000 },
    soon: { rules: FOLLOW, expiresMs: now + 600 },
    sooner: { rules: FOLLOW, expiresMs: now + 300 },
  });
  const { admissions, ended: late } = admit(access, 'late', 1);
  const order: string[] = [];
  for (const name of ['soon', 'sooner']) {
    admissions.add(
      new Admission(access.subjectOf(name), ({ isExpired }) => order.push(`${name} ${isExpired}`)),
    );
  }
  await waitFor(() => order.length === 2, 'both ends');
  expect([order, late]).toEqual([['sooner true', 'soon true'], []]);
});

it('those that are over are not ended', async () => {
  const access = new RuleAccess({ t: { rules: FOLLOW } });
  const { admissions, all, ended } = admit(access, 't', 3);
  admissions.delete(all[0] as Admission);
  admissions.delete(all[0] as Admission);
  access.change({});
  await waitFor(() => ended.length === 2, 'the others');
  admissions.close();
});
