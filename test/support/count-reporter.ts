import type { Reporter, TestModule } from 'vitest/node';

/** Ends the output with `N passed, N failed` on a line of its own, which other programs can read. */
class CountReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly unknown[]): void {
    const tests = modules.flatMap((module) => [...module.children.allTests()]);
    const count = (state: string) => tests.filter((test) => test.result().state === state).length;
    const suites = modules.flatMap((module) => [module, ...module.children.allSuites()]);
    const brokenSuites = suites.filter((suite) => suite.errors().length > 0).length;
    const failed = count('failed') + brokenSuites + unhandledErrors.length;
    // After the other reporters' summary.
    process.once('exit', () => process.stdout.write(`${count('passed')} passed, ${failed} failed\n`));
  }
}

// biome-ignore lint/style/noDefaultExport: the form in which vitest loads a reporter
export default CountReporter;
