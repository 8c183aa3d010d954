namespace Coordinator.Client.Tests;

using Google.Protobuf;
using Grpc.Core;

/// <summary>One try of one call, as it came.</summary>
public sealed record FakeCall(string Method, IMessage Request, Metadata Headers, DateTime Deadline);
