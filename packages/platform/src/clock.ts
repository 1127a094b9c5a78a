/** The time, passed in wherever it matters. */
export type Clock = () => Date

export const systemClock: Clock = () => new Date()
