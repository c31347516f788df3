import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    name: 'integration-service',
    include: ['src/**/*.test.ts', 'test/*.test.ts'],
    // A worker keeps its libraries from file to file; the project's own modules are loaded anew.
    isolate: false,
    // More workers than processors, because some tests wait. The same as in the root configuration.
    maxWorkers: Math.ceil(availableParallelism() * 1.5),
    // Without a cache, each ledger thread would compile its TypeScript anew.
    env: { NODE_COMPILE_CACHE: join(tmpdir(), 'mini-integration-platform-compiled') },
    // Long enough for a slow or busy machine. A test that hangs is reported late, a slow one does not
    // fail.
    testTimeout: 240_000,
    expect: { poll: { timeout: 200_000 } },
    // In the container, the file system is read-only.
    fsModuleCache: false,
  },
});
