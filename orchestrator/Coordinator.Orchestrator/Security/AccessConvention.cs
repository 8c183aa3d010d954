namespace Coordinator.Orchestrator.Security;

using Microsoft.AspNetCore.Authorization;
using Microsoft.AspNetCore.Mvc.ActionConstraints;
using Microsoft.AspNetCore.Mvc.ApplicationModels;

/// <summary>Every route takes what its method takes, one of any method the most; none can be forgotten.</summary>
internal sealed class AccessConvention : IActionModelConvention
{
    public void Apply(ActionModel action)
    {
        foreach (var selector in action.Selectors)
        {
            var methods = selector.ActionConstraints.OfType<HttpMethodActionConstraint>().SelectMany(constraint => constraint.HttpMethods);
            foreach (var access in methods.DefaultIfEmpty("").Select(Access.Of).Distinct())
            {
                selector.EndpointMetadata.Add(new AuthorizeAttribute(access));
            }
        }
    }
}
