"""`/api/v1`: what the pages show and decide, for programs.

`api_routes` and `fleet_api_routes` read, `act_routes` decides; `acting` says who may, and what a call has.
"""
