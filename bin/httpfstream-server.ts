#!/usr/bin/env node
import { exitSoon, processIo } from '../src/cli/io.ts';
import { runServer } from '../src/cli/run-server.ts';

exitSoon(await runServer(process.argv.slice(2), processIo));
