import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    name: 'integration-service',
    include: ['src/**/*.test.ts', 'test/*.test.ts'],
    // A worker keeps its libraries from file to file; what is ours is loaded anew.
    isolate: false,
    // More than there are processors: some tests wait. As in the configuration of the project's folder.
    maxWorkers: Math.ceil(availableParallelism() * 1.5),
    // Each thread of a ledger would compile its TypeScript anew.
    env: { NODE_COMPILE_CACHE: join(tmpdir(), 'mini-integration-platform-compiled') },
    // Long enough for a machine that is slow or busy: what hangs is told of late, what is slow is not.
    testTimeout: 60_000,
    expect: { poll: { timeout: 50_000 } },
    // In the container, the file system is read-only.
    fsModuleCache: false,
  },
});
