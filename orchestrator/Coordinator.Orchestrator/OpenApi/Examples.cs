namespace Coordinator.Orchestrator.OpenApi;

using System.Text.Json.Nodes;

/// <summary>Examples of bodies; a test reads each of them as the message that it stands for.</summary>
internal static class Examples
{
    /// <summary>JSON by the name of the message.</summary>
    public static readonly IReadOnlyDictionary<string, string> Bodies = new Dictionary<string, string>
    {
        ["PostWorkflowExecuteRequest"] = """{"workflowId": "three-echoes", "parameters": {"text": "hello"}, "timeout": "60s"}""",
        ["PostWorkflowPlanRequest"] = """{"execution": {"workflowId": "three-echoes", "parameters": {"text": "hello"}}}""",
        ["PutProcessingWorkflowRequest"] = """
            {"workflow": {"workflowId": "one-echo", "parameters": {"text": {"valueType": "VALUE_TYPE_STRING", "defaultValue": "hello"}},
            "steps": [{"stepId": "only", "operation": "postprocessing.post_postprocessing_execute", "parameters": {"echo": {"text": "${parameters.text}"}}}],
            "outputs": {"text": {"value": "${steps.only.echo.text}"}}}}
            """,
        ["PostSessionControlRequest"] = """{"controlAction": "CONTROL_ACTION_PAUSE", "comment": "the disk is being changed"}""",
        ["PostBatchCreateRequest"] = """
            {"batchId": "greetings", "workflowIds": ["three-echoes"], "maxParallel": 4, "maxFailures": 1,
            "items": [{"itemId": "first", "parameters": {"text": "one"}}, {"itemId": "second", "parameters": {"text": "two"}}]}
            """,
        ["PostBatchItemsRequest"] = """{"items": [{"itemId": "third", "parameters": {"text": "three"}}]}""",
        ["PostBatchControlRequest"] = """{"batchAction": "BATCH_ACTION_PAUSE"}""",
    };

    /// <summary>A refusal by its HTTP status.</summary>
    public static readonly IReadOnlyDictionary<int, string> Refusals = new Dictionary<int, string>
    {
        [400] = """
            {"success": false, "message": "modelld: PostWorkflowExecuteRequest has no such field; did you mean 'modelId'?",
            "error": {"code": "INVALID_ARGUMENT", "reason": "FIELD_UNKNOWN", "fields": [{"field": "modelld",
            "description": "PostWorkflowExecuteRequest has no such field", "suggestion": "modelId"}], "help": "docs/reference/errors.md#field_unknown"}}
            """,
        [401] = """{"success": false, "message": "no credentials, or credentials that are not valid", "error": {"code": "UNAUTHENTICATED", "reason": "UNAUTHENTICATED"}}""",
        [403] = """
            {"success": false, "message": "the token may not do this; it needs the scope, or the role, 'operate'",
            "error": {"code": "PERMISSION_DENIED", "reason": "PERMISSION_DENIED"}}
            """,
        [404] = """
            {"success": false, "message": "there is no workflow 'three-ecos'; did you mean 'three-echoes'?",
            "error": {"code": "NOT_FOUND", "reason": "WORKFLOW_NOT_FOUND", "resource": {"type": "workflow", "name": "three-ecos"},
            "help": "docs/reference/errors.md#workflow_not_found"}}
            """,
        [409] = """{"success": false, "message": "the session_id 'first' is taken", "error": {"code": "ALREADY_EXISTS", "reason": "SESSION_ALREADY_EXISTS"}}""",
        [413] = """{"success": false, "message": "the body is too large; send large content as artifacts", "error": {"code": "RESOURCE_EXHAUSTED", "reason": "PAYLOAD_TOO_LARGE"}}""",
        [429] = """{"success": false, "message": "the server has as much work as it takes", "error": {"code": "RESOURCE_EXHAUSTED", "reason": "SERVER_OVERLOADED", "retryAfterSeconds": 0.5}}""",
        [500] = """{"success": false, "message": "a fault of the server; its operators find it by the trace id", "error": {"code": "INTERNAL", "reason": "INTERNAL"}}""",
        [502] = """
            {"success": false, "message": "the coordinator refused the credentials of the orchestrator; its operator has to mend Orchestrator:TokenFile",
            "error": {"code": "UNAUTHENTICATED"}}
            """,
        [503] = """{"success": false, "message": "the coordinator cannot be reached; ask again", "error": {"code": "UNAVAILABLE", "retryAfterSeconds": 1}}""",
        [504] = """
            {"success": false, "message": "no answer in time; the work may go on: read what Location names, or send the same request with the same Idempotency-Key",
            "error": {"code": "DEADLINE_EXCEEDED"}}
            """,
    };

    /// <summary>JSON as a node.</summary>
    public static JsonNode? Parse(string json) => JsonNode.Parse(json);
}
