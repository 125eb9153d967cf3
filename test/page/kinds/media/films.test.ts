import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { ViewerBrowser } from '../../../support/page/viewer-browser.ts';
import { ViewerServer } from '../../../support/page/viewer-server.ts';
import { waitFor } from '../../../support/wait-for.ts';
import { V2Peer } from '../../../support/websocket/v2-peer.ts';

const hasFfmpeg = spawnSync('ffmpeg', ['-version']).status === 0;
if (!hasFfmpeg) process.stderr.write('ffmpeg is not here: no film is shown while it is written\n');

const PICTURE = ['-f', 'lavfi', '-i', 'testsrc=size=160x120:rate=10'];
const SOUND = ['-f', 'lavfi', '-i', 'sine=440'];
const FRAGMENTS = ['-g', '10', '-movflags', 'frag_keyframe+empty_moov+default_base_moof'];

/** By the ending of its name: how each is made, and how a browser says that it knows it. */
const FILMS: Readonly<Record<string, { made: readonly string[]; type: string }>> = {
  webm: {
    made: [
      ...PICTURE,
      ...SOUND,
      '-c:v',
      'libvpx',
      '-b:v',
      '500k',
      '-deadline',
      'realtime',
      '-c:a',
      'libopus',
    ],
    type: 'video/webm; codecs="vp8, opus"',
  },
  mp4: {
    made: [...PICTURE, '-c:v', 'libx264', '-preset', 'ultrafast', '-pix_fmt', 'yuv420p', ...FRAGMENTS],
    type: 'video/mp4; codecs="avc1.42E01E"',
  },
  mp3: { made: [...SOUND, '-c:a', 'libmp3lame', '-b:a', '192k'], type: 'audio/mpeg' },
};

/** Twelve seconds of something. */
function filmAs(ending: string): Buffer {
  const { made } = FILMS[ending]!;
  const to = ['-t', '12', '-f', ending, 'pipe:1'];
  const { stdout, stderr, status } = spawnSync('ffmpeg', ['-v', 'error', ...made, ...to]);
  expect([status, `${stderr}`]).toEqual([0, '']);
  return stdout;
}

/** The one that takes least, and is least forgiving; the long form tries all. */
const ENDINGS = process.env.HTTPFSTREAM_SOAK === '1' ? Object.keys(FILMS) : ['mp3'];

const browser = ViewerBrowser.forAllTests();

describe.runIf(ViewerBrowser.isThere && hasFfmpeg)('the page of a film or a sound', () => {
  it.for(ENDINGS)(
    'plays a %s that is being written, and any part of it when it is whole',
    async (ending, { skip }) => {
      const film = filmAs(ending);
      const half = Math.floor(film.length / 2);
      const server = await ViewerServer.start();
      const appender = await V2Peer.append(server.url(`/f.${ending}`));
      await appender.append(film.subarray(0, half), half);
      const look = await browser.open(server.url(`/f.${ending}`));
      await look.state('Live');
      const element = look.page.locator('video, audio');
      const { type } = FILMS[ending]!;
      const answer = await element.evaluate((media, asked) => media.canPlayType(asked), type);
      skip(answer === '', `this browser does not know ${type}`);
      await element.evaluate((media) => {
        media.muted = true;
        media.playbackRate = 4;
        void media.play();
      });
      await waitFor(() => element.evaluate((media) => media.currentTime > 1), 'it to play');
      await appender.append(film.subarray(half), film.length);
      await waitFor(() => element.evaluate((media) => media.currentTime > 8), 'what came meanwhile');
      // As soon as it comes as a whole, and before anything of that is known.
      await element.evaluate((media) => {
        const goOn = () => {
          media.currentTime = 10;
        };
        media.addEventListener('loadstart', goOn, { once: true });
      });
      await appender.finish();
      await look.state('Finished');
      await element.evaluate((media) => media.pause());
      await waitFor(() => element.evaluate((media) => media.currentSrc.endsWith('?raw')), 'all of it');
      await waitFor(
        () => element.evaluate((media) => !media.seeking && media.readyState > 1 && media.currentTime === 10),
        'a place near its end',
      );
      await look.expectHarmless();
    },
  );
});
