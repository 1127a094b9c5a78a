import manifest from '../package.json' with { type: 'json' }

/** Of the whole product: its packages carry one version. */
export const version: string = manifest.version
