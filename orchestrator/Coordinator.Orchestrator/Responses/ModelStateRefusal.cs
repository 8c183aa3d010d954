namespace Coordinator.Orchestrator.Responses;

using Coordinator.Error.V1;
using Coordinator.Orchestrator.Json;
using Microsoft.AspNetCore.Mvc.ModelBinding;

/// <summary>What MVC found wrong with a request, without its words: they name types of C#.</summary>
internal static class ModelStateRefusal
{
    /// <summary>As a refusal with every parameter that could not be read.</summary>
    public static RequestRefusedException Of(ModelStateDictionary state)
    {
        var wrong = state.Where(entry => entry.Value?.ValidationState == ModelValidationState.Invalid).Select(entry => Fault(entry.Key)).Distinct().ToList();
        return new RequestRefusedException(wrong.Count > 0 ? wrong : [Fault("")]);
    }

    private static FieldFault Fault(string key) => key.Length == 0 || key == "request"
        ? new FieldFault(ErrorReason.FieldRequired, "", "the route needs a body that is JSON; it may be {}")
        : new FieldFault(ErrorReason.FieldInvalid, key, "the value cannot be read");
}
