/** Posts `count` package requests to an inventory-api with bare undici, and prints when it is done. */
import { randomUUID } from 'node:crypto';
import { Pool } from 'undici';

const [url = '', count = '0', concurrency = '1'] = process.argv.slice(2);
const pool = new Pool(url, { connections: Number(concurrency) });
let next = 0;
await Promise.all(
  Array.from({ length: Number(concurrency) }, async () => {
    while (next < Number(count)) {
      next += 1;
      const customerId = randomUUID();
      const { statusCode, body } = await pool.request({
        path: '/package-requests',
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          'idempotency-key': `"welcome-package/${customerId}"`,
        },
        body: JSON.stringify({ customer_id: customerId, package_type: 'welcome_package' }),
      });
      await body.json();
      if (statusCode !== 201) throw new Error(`status ${statusCode}`);
    }
  }),
);
await pool.close();
process.stdout.write(`${url} has them\n`);
setInterval(() => {}, 1_000);
