#!/usr/bin/env sh
':' /* ; HTTPFSTREAM_SIGHUP=default; { sh -c 'kill -s HUP $$' && HTTPFSTREAM_SIGHUP=ignored; } 2>/dev/null; export HTTPFSTREAM_SIGHUP; exec node "$0" "$@" #*/;
import { exitWhenTaken, processIo } from '../src/cli/io/process-io.ts';

// Not before the pipes are left as they are: some of what it needs looks at them as soon as it is loaded.
const { runFollow } = await import('../src/cli/follow/run-follow.ts');
exitWhenTaken(await runFollow(process.argv.slice(2), processIo));
