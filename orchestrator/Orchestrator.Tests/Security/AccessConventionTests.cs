namespace Coordinator.Orchestrator.Tests.Security;

using System.Reflection;
using Coordinator.Orchestrator.Security;
using Microsoft.AspNetCore.Authorization;
using Microsoft.AspNetCore.Mvc.ActionConstraints;
using Microsoft.AspNetCore.Mvc.ApplicationModels;

public sealed class AccessConventionTests
{
    [Theory]
    [InlineData("read", "GET")]
    [InlineData("operate", "POST")]
    [InlineData("admin", "DELETE")]
    [InlineData("admin", "MERGE")]
    [InlineData("admin")]
    public void A_route_takes_what_its_method_takes_and_one_of_any_method_the_most(string access, params string[] methods)
    {
        var action = Action(methods);

        new AccessConvention().Apply(action);

        Assert.Equal(access, Assert.Single(action.Selectors[0].EndpointMetadata.OfType<AuthorizeAttribute>()).Policy);
    }

    private static ActionModel Action(string[] methods)
    {
        var selector = new SelectorModel();
        if (methods.Length > 0)
        {
            selector.ActionConstraints.Add(new HttpMethodActionConstraint(methods));
        }
        return new ActionModel((MethodInfo)MethodBase.GetCurrentMethod()!, []) { Selectors = { selector } };
    }
}
