"""The service that a workflow has of its own: parameters and outputs as typed fields.

field_types    of which type a parameter or an output is
numbering      numbers that a field keeps for ever
descriptors    the file of the service
compatibility  what would break its clients
publication    what putting a workflow makes of its service
interface      a stored service, with a pool and message classes of its own
proto_text     the service as .proto text, with comments
"""
