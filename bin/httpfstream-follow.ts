#!/usr/bin/env node
import { processIo } from '../src/cli/io.ts';
import { runFollow } from '../src/cli/run-follow.ts';

process.exitCode = await runFollow(process.argv.slice(2), processIo);
