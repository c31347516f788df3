import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    name: 'integration-service',
    include: ['src/**/*.test.ts', 'test/*.test.ts'],
    // In the container, the file system is read-only.
    fsModuleCache: false,
  },
});
