import type { z } from 'zod';
import { escapeControls } from './escape-controls.ts';

/**
 * Names in the environment that resemble those of a schema (`ADMIN_TOKN`, `admin_token`), each with a
 * sentence for the person who set it. Warn of them, do not refuse them: other programs' variables may be
 * similar by chance.
 */
export function findMisspelt(
  schema: z.ZodObject,
  env: NodeJS.ProcessEnv,
): { name: string; warning: string }[] {
  const known = Object.entries(schema.shape).flatMap(([name, field]) =>
    field.meta()?.secret === true ? [name, `${name}_FILE`] : [name],
  );
  return Object.keys(env).flatMap((name) => {
    if (!env[name]?.trim() || known.includes(name)) return [];
    const meant = [0, 1, 2].flatMap((mistakes) =>
      known.filter((each) => isNear(name.toUpperCase(), each, mistakes)),
    )[0];
    const warning = `${escapeControls(name)} is not known: did you mean ${meant}?`;
    return meant ? [{ name, warning }] : [];
  });
}

/** Whether up to so many missing, extra, wrong or swapped letters make one text of the other. */
function isNear(a: string, b: string, mistakes: number): boolean {
  if (a === b) return true;
  if (mistakes === 0) return false;
  const at = [...a].findIndex((letter, i) => letter !== b[i]);
  const [left, right] = at < 0 ? ['', b.slice(a.length)] : [a.slice(at), b.slice(at)];
  const isNearAfter = (i: number, j: number) => isNear(left.slice(i), right.slice(j), mistakes - 1);
  const isSwapped = left[0] === right[1] && left[1] === right[0];
  return (
    isNearAfter(1, 0) || isNearAfter(0, 1) || isNearAfter(1, 1) || (isSwapped && isNearAfter(2, 2))
  );
}
