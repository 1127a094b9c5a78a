export { type GatewayConfig, gatewayConfig } from './config.ts'
export type { Upstreams } from './forward.ts'
export { type GatewayDeps, startGateway } from './gateway.ts'
export { httpUpstream } from './http-upstream.ts'
