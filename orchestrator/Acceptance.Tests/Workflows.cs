namespace Coordinator.Acceptance.Tests;

using Coordinator.Client;
using Google.Protobuf.WellKnownTypes;
using PostWorkflowExecuteRequest = Coordinator.Processing.V1.PostWorkflowExecuteRequest;

/// <summary>Workflows of the examples.</summary>
internal static class Workflows
{
    public const string ThreeEchoes = "three-echoes";

    public static Task PutAsync(CoordinatorClient client, CancellationToken cancellationToken) =>
        client.Processing.PutProcessingWorkflowAsync(new() { Source = Checkout.Workflow(ThreeEchoes) }, cancellationToken: cancellationToken);

    public static PostWorkflowExecuteRequest Echo(string sessionId, string delay = "0s") => new()
    {
        WorkflowId = ThreeEchoes,
        SessionId = sessionId,
        Parameters = new Struct { Fields = { ["text"] = Value.ForString("hello"), ["delay_seconds"] = Value.ForString(delay) } },
    };
}
