import { wholeNumberFrom } from '../random.ts';
import type { Entry, Shop } from './shop.ts';
import type { Answer, ShopClient } from './shop-client.ts';
import { inputOf, randomInput, type ShopInput } from './shop-customer.ts';

/** A request was not answered: what it has done is unclear. */
export class NoAnswer extends Error {
  override readonly name = 'NoAnswer';
  readonly code = 'NO_ANSWER';
}

/** How likely a new customer takes an e-mail address that another one had. */
const REUSE = 0.5;
/** As many changes follow each new customer: none to this many. */
const MOST_CHANGES = 8;
const MOST_AT_ONCE = 4;

/**
 * Changes customers at random, each of whom only one caller changes at a time. What the shop must not have
 * answered goes to `shop.blame`.
 *
 * @param shop keeps what the shop must have
 */
export function createChanges(shop: Shop, client: ShopClient, random: () => number) {
  const freeEmails: string[] = [];
  let emails = 0;

  /** @throws {NoAnswer} if there is no answer. Another answer than this one is blamed. */
  function check<Of extends Answer>(answer: Of, what: string, statuses: number[], entry?: Entry) {
    // A ledger that is locked for long refuses, too.
    if (!answer || answer.status === 503) {
      shop.doubt(entry);
      throw new NoAnswer(what);
    }
    if (!statuses.includes(answer.status)) shop.blame(`${what} was answered with ${answer.status}`);
    return answer as NonNullable<Of>;
  }

  function newEmail(): string {
    emails += 1;
    return `customer-${emails}@example.com`;
  }

  /** Creates a customer; resolves with its id. */
  async function create(): Promise<string> {
    const free = random() < REUSE ? freeEmails.shift() : undefined;
    const what = `POST of ${free === undefined ? 'a new' : 'a free'} e-mail address`;
    const email = free ?? newEmail();
    const { customer } = check(await client.create(randomInput(random, email)), what, [201]);
    if (!customer?.id) throw new Error(what);
    return shop.saw(customer).id;
  }

  async function replace(entry: Entry, input: ShopInput): Promise<void> {
    const { id, customer } = entry;
    const isSame = JSON.stringify(input) === JSON.stringify(inputOf(customer));
    const version = customer.version + (isSame ? 0 : 1);
    const answer = check(await client.replace(id, input), `PUT ${id}`, [200], entry);
    if (answer.status !== 200 || !answer.customer) return;
    if (answer.customer.version !== version) {
      shop.blame(`PUT ${id} made version ${answer.customer.version}, not ${version}`);
    }
    shop.saw(answer.customer);
  }

  async function remove(entry: Entry): Promise<void> {
    const { id, customer } = entry;
    const answer = check(await client.remove(id), `DELETE ${id}`, [204], entry);
    if (answer.status !== 204) return;
    shop.removed(entry);
    freeEmails.push(customer.email);
  }

  /** Two customers exchange their e-mail addresses, by way of a third one. */
  async function swap(one: Entry, other: Entry): Promise<void> {
    const [first, second] = [inputOf(one.customer), inputOf(other.customer)];
    await replace(one, { ...first, email: newEmail() });
    await replace(other, { ...second, email: first.email });
    await replace(one, { ...first, email: second.email });
  }

  /** Several clients change one customer at the same time, some of them only if nobody else has. */
  async function race(entry: Entry): Promise<void> {
    const { id, customer } = entry;
    const { email, version } = customer;
    const requests = Array.from({ length: wholeNumberFrom(random, 2, MOST_AT_ONCE) }, () => {
      const isGuarded = random() < 0.5;
      return random() < 0.1
        ? { kind: 'delete', answer: client.remove(id) }
        : {
            kind: isGuarded ? 'guarded' : 'put',
            answer: client.replace(id, randomInput(random, email), isGuarded ? version : undefined),
          };
    });
    const answers = await Promise.all(
      requests.map(async ({ kind, answer }) => ({ kind, answer: await answer })),
    );
    const done = answers.flatMap(({ kind, answer }) =>
      answer?.status === 200 && answer.customer ? [{ kind, customer: answer.customer }] : [],
    );
    const last = done.map((each) => each.customer).toSorted((a, b) => b.version - a.version)[0];
    if (last) shop.saw(last);
    const deletes = answers.filter(({ answer }) => answer?.status === 204).length;
    if (deletes > 0) shop.removed(entry);
    shop.doubt(entry);
    // What changes nothing raises no version, and lets the next one pass.
    const guarded = done.filter(
      (each) => each.kind === 'guarded' && each.customer.version > version,
    );
    if (guarded.length > 1)
      shop.blame(`${guarded.length} clients replaced version ${version} of ${id}`);
    if (deletes > 1) shop.blame(`${id} was deleted ${deletes} times`);
    for (const { kind, answer } of answers) {
      const statuses = kind === 'delete' ? [204, 404] : [200, 404];
      const allowed = kind === 'guarded' ? [...statuses, 412] : statuses;
      check(answer, `${kind} of ${id} at the same time as others`, allowed, entry);
    }
    if (deletes > 0) freeEmails.push(email);
    const now = check(await client.get(id), `GET ${id}`, [200, 404], entry);
    entry.isUnclear = false;
    const expected = entry.isGone ? undefined : entry.customer;
    if (
      JSON.stringify(now.status === 200 ? now.customer : undefined) !== JSON.stringify(expected)
    ) {
      shop.blame(
        `after changes at the same time, the shop has another state of ${id} than it answered`,
      );
    }
  }

  /** Changes some customers, in one way. */
  async function change(take: () => Entry | undefined): Promise<void> {
    const entry = take();
    if (!entry) return;
    const kind = random();
    const { email } = entry.customer;
    if (kind < 0.1) return replace(entry, inputOf(entry.customer));
    if (kind < 0.5) return replace(entry, randomInput(random, email));
    if (kind < 0.57) return remove(entry);
    if (kind < 0.72) return race(entry);
    const other = take();
    return other
      ? swap(entry, other)
      : replace(entry, { ...inputOf(entry.customer), email: newEmail() });
  }

  /** A customer of whom nothing is unclear and whom nobody else changes, if one is found soon. */
  function takeSome(taken: Entry[]): Entry | undefined {
    const entry = shop.findSome(
      ({ isGone, isUnclear, isTaken }) => !isGone && !isUnclear && !isTaken,
      random,
    );
    if (!entry) return undefined;
    entry.isTaken = true;
    taken.push(entry);
    return entry;
  }

  return {
    create,
    /** Some changes of some customers, one after the other. @throws {NoAnswer} */
    async changeSome(): Promise<void> {
      for (let count = wholeNumberFrom(random, 0, MOST_CHANGES); count > 0; count--) {
        const taken: Entry[] = [];
        try {
          await change(() => takeSome(taken));
        } finally {
          for (const entry of taken) entry.isTaken = false;
        }
      }
    },
    /** The shop has gone back in time: nobody knows which addresses are free. */
    forgetEmails(): void {
      freeEmails.length = 0;
    },
  };
}
