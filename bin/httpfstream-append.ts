#!/usr/bin/env node
import { processIo } from '../src/cli/io.ts';
import { runAppend } from '../src/cli/run-append.ts';

process.exitCode = await runAppend(process.argv.slice(2), processIo);
