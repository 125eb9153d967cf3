#!/usr/bin/env node
import { processIo } from '../src/cli/io.ts';
import { runServer } from '../src/cli/run-server.ts';

process.exitCode = await runServer(process.argv.slice(2), processIo);
