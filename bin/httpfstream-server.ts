#!/usr/bin/env sh
':' /* ; HTTPFSTREAM_SIGHUP=default; { sh -c 'kill -s HUP $$' && HTTPFSTREAM_SIGHUP=ignored; } 2>/dev/null; export HTTPFSTREAM_SIGHUP; exec node "$0" "$@" #*/;
import { holdHangUp } from '../src/cli/io/early-hang-up.ts';

holdHangUp();
const { exitSoon, processIo } = await import('../src/cli/io/process-io.ts');
// Not before the pipes are left as they are: some of what it needs looks at them as soon as it is loaded.
const { runServer } = await import('../src/cli/server/run-server.ts');
exitSoon(await runServer(process.argv.slice(2), processIo));
