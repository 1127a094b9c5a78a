export { type GatewayConfig, gatewayConfig, gatewayProcessConfig } from './config.ts'
export type { Upstreams } from './forward.ts'
export { type GatewayDeps, startGateway } from './gateway.ts'
export { startGoldenSchedule } from './golden-schedule.ts'
