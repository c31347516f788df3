/** The entry of the thread in which a service has its SQLite ledger. */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { type ServerOptions, serve } from './sqlite-server.ts';

serve(parentPort as MessagePort, workerData as ServerOptions);
