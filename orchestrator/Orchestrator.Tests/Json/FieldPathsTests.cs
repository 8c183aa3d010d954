namespace Coordinator.Orchestrator.Tests.Json;

using Coordinator.Orchestrator.Json;

public sealed class FieldPathsTests
{
    [Theory]
    [InlineData("steps[2].max_parallel", "steps[2].maxParallel")]
    [InlineData("parameters.delay_seconds", "parameters.delay_seconds")]
    [InlineData("execution.labels.the_team", "execution.labels.the_team")]
    [InlineData("payloads.the_page.media_type", "payloads.the_page.mediaType")]
    public void Fields_are_told_by_their_JSON_names_and_keys_of_the_caller_as_they_are(string path, string told) =>
        Assert.Equal(told, FieldPaths.Camel(path));
}
