/**
 * What is wrong with the ledger:
 * - `unusable`: it cannot be used until a person does something
 * - `full`: the disk is full; work continues by itself when there is room
 * - `unreachable`: the database does not answer; work continues by itself when it does
 * - `failing`: the disk reports errors; nothing that this process has open can be trusted
 */
export type LedgerFault = 'unusable' | 'full' | 'unreachable' | 'failing';

/** The ledger cannot be read or written. The message names the ledger and the remedy, in one line. */
export class LedgerError extends Error {
  override readonly name = 'LedgerError';
  readonly code = 'LEDGER_FAILED';
  readonly fault: LedgerFault;

  constructor(fault: LedgerFault, message: string, options?: ErrorOptions) {
    super(message, options);
    this.fault = fault;
  }
}
